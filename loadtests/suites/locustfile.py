"""The locustfile of all suites: `locust -f loadtests/suites/locustfile.py --suite fraud --host …`.

It plays a suite's calls, each when it is due, and judges what came back.

A call's time counts from the moment it was due, not from the moment it was sent: when answers are slow and the users
run out, the calls that wait for one are late, and their lateness is part of what their caller would see.
"""

import json
import logging
import time
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from loadtests.kserve import COLD_HEADER, CallFailedError, HttpCaller
from loadtests.suites.arrivals import Arrival
from loadtests.suites.population import Population
from loadtests.suites.promises import Figures, Latencies, judge
from loadtests.suites.protocols import PROTOCOLS, Protocol
from loadtests.suites.report import console_table, html_report, summary
from loadtests.suites.suite import SUITES, Suite, Traffic, suite_named

_LEAD = 0.5  # seconds from the start of the users to the first call
_UNANSWERED = "unanswered"


class Caller(FastHttpUser):
    """One of the users between whom the calls are shared out: whoever is free takes the next."""

    network_timeout = 60.0
    connection_timeout = 10.0

    @task
    def call(self) -> None:
        """Wait until the next call is due, and make it."""
        playing: _Playing = self.environment.playing
        arrival = next(playing.arrivals)
        if arrival.at > playing.seconds:
            raise StopUser
        due = playing.began + arrival.at
        gevent.sleep(max(0.0, due - time.perf_counter()))
        self._make(arrival, due, playing)

    def _make(self, arrival: Arrival, due: float, playing: "_Playing") -> None:
        reference = playing.population.reference(arrival.call.tenant)
        request = playing.protocol.request(arrival.call, reference)
        with self.client.post(
            request.path,
            data=request.body,  # type: ignore[arg-type]  # bytes are taken, whatever the annotation says
            headers=dict(request.headers),
            name=f"{arrival.group} {_UNANSWERED}",
            catch_response=True,
        ) as response:
            response.request_meta["response_time"] = 1e3 * (time.perf_counter() - due)
            response.request_meta["request_type"] = playing.protocol.name
            if response.status_code == 0:
                response.failure(f"no answer: {type(response.error).__name__}")
                return
            start = response.headers.get(COLD_HEADER, "warm")
            response.request_meta["name"] = f"{arrival.group} {start}"
            if response.status_code != 200:
                response.failure(f"{response.status_code}: {response.content[:200].decode(errors='replace')}")
            elif wrong := playing.protocol.check(arrival.call, reference, response.content, response.headers):
                response.failure(wrong)


class _Playing:
    """The calls of one run, in one process."""

    def __init__(self, suite: Suite, population: Population, options: Namespace, part: int) -> None:
        self.population = population
        self.seconds: float = options.seconds
        self.protocol: Protocol = PROTOCOLS[options.api]
        traffic = Traffic(options.rate / options.parts, options.seconds, options.seed + part)
        self.arrivals: Iterator[Arrival] = suite.arrivals(population, traffic)
        self.began = time.perf_counter() + _LEAD


def figures_of(environment: Environment) -> Figures:
    """What Locust has measured, of all workers together."""
    counts: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)
    for (name, _), entry in environment.stats.entries.items():
        group, _, start = name.rpartition(" ")
        counts[group, start].update(entry.response_times)
    failures: Counter[str] = Counter()
    for error in environment.stats.errors.values():
        failures[f"{error.name}: {error.error}"] += error.occurrences
    answered = {key: Latencies(count) for key, count in counts.items() if key[1] != _UNANSWERED}
    return Figures(answered, failures)


def _options_of(environment: Environment) -> Namespace:
    """The options, with what the suite says where they say nothing."""
    options = environment.parsed_options
    assert isinstance(options, Namespace)
    suite = suite_named(options.suite)
    options.rate = options.rate or suite.rate
    options.seconds = options.seconds or suite.seconds
    return options


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_options(parser: Any) -> None:
    group = parser.add_argument_group("Orchard's suites")
    group.add_argument("--suite", choices=SUITES, default="fraud", help="Which promise to prove.")
    group.add_argument("--rate", type=float, default=0.0, help="Calls a second; 0: what the suite says.")
    group.add_argument("--seconds", type=float, default=0.0, help="For which the traffic is planned; 0: as the suite.")
    group.add_argument("--seed", type=int, default=1, help="Another seed gives other traffic.")
    group.add_argument("--api", choices=sorted(PROTOCOLS), default="kserve", help="The path to call.")
    group.add_argument("--short", action="store_true", help="The short form: fewer tenants, smaller models.")
    group.add_argument("--slack", type=float, default=1.0, help="Multiplies the promised times.")
    group.add_argument("--parts", type=int, default=1, help="Workers between whom the rate is divided.")
    group.add_argument("--report", default="reports", help="Folder for <suite>.html and <suite>.json.")


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _begin(environment: Environment, **_: Any) -> None:
    try:
        _prepare(environment)
    except Exception as error:
        # Locust would log it and go on, with nothing to play.
        raise SystemExit(f"the suite cannot begin: {error!r}") from error


def _prepare(environment: Environment) -> None:
    options = _options_of(environment)
    suite = suite_named(options.suite)
    population = suite.populate(options.short)
    if not population.is_made:
        raise FileNotFoundError(f"the models are not here yet: python -m loadtests.suites {suite.name} --prepare")
    runner = environment.runner
    if suite.warm_up and not isinstance(runner, WorkerRunner):
        _warm_up(environment.host or "", population)
    if not isinstance(runner, MasterRunner):
        part = runner.worker_index if isinstance(runner, WorkerRunner) else 0
        environment.playing = _Playing(suite, population, options, part)  # type: ignore[attr-defined]
    if not isinstance(runner, WorkerRunner):
        gevent.spawn_later(_LEAD + options.seconds + _LEAD, _end, environment)


def _end(environment: Environment) -> None:
    assert environment.runner is not None
    # Whoever looks at the web page wants to go on looking.
    environment.runner.stop() if environment.web_ui else environment.runner.quit()


def _warm_up(host: str, population: Population) -> None:
    def call(tenant: Any) -> None:
        caller = HttpCaller(urlsplit(host).netloc)
        try:
            # A node that does not answer now will be found not to when it counts.
            with suppress(CallFailedError):
                caller.infer(tenant, population.reference(tenant).rows[:1])
        finally:
            caller.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, population.tenants))


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _judge(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner) or environment.runner is None:
        return
    options = _options_of(environment)
    suite = suite_named(options.suite)
    logging.getLogger("locust.stats_logger").disabled = True  # the verdict says it
    verdict = judge(suite.promises, figures_of(environment), options.slack)
    folder = Path(options.report)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{suite.name}.html").write_text(html_report(suite, verdict, environment))
    (folder / f"{suite.name}.json").write_text(json.dumps(summary(suite, verdict, environment), indent=1) + "\n")
    console_table(suite, verdict, folder / f"{suite.name}.html")
    environment.process_exit_code = 0 if verdict.is_passed else 1
