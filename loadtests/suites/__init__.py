"""The promises of a deployment, each proved by a Locust suite that ends with a verdict.

`python -m loadtests.suites fraud` runs one on a node of its own; `--host` runs it against any. What a suite does is in
the file of its name; `locustfile.py` plays it, and takes all that Locust has: a web page, workers on many machines.
"""
