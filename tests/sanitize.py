"""The tests of the local FIL backend on one that watches itself: `python -m tests.sanitize [pytest's arguments]`.

The backend is built with the address and undefined-behaviour sanitizers, whose runtime the server is started with. What
either finds ends the server and is written to a report; a report fails the run, whatever the tests say.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SANITIZED = ROOT / ".build" / "sanitized"
REPORTS = SANITIZED / "reports"
TESTS = "tests/integration/fil"
# How much memory a model takes says nothing here: the runtime keeps what is freed, to notice its use.
LEFT_OUT = "tests/integration/fil/test_fil_memory.py"


def runtime() -> Path:
    """The address sanitizer's shared library, of the compiler that the backend is built with."""
    command = os.environ.get("CXX", "c++")
    if shutil.which(command) is None:
        sys.exit("no C++ compiler with sanitizers: as root, make sanitizer-packages")
    asked = subprocess.run([command, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    found = Path(asked.stdout.strip())
    if not found.is_absolute():
        sys.exit(f"{command} has no address sanitizer: as root, make sanitizer-packages")
    return found.resolve()


def main() -> int:
    library = runtime()
    subprocess.run([sys.executable, str(ROOT / "triton" / "fil" / "build.py"), "--sanitize"], check=True)
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    environment = {
        **os.environ,
        "TRITON_BACKENDS": str(SANITIZED),
        "TRITON_PRELOAD": str(library),
        # The server itself is not watched, so of what it leaks there is no telling whose it is. Its own handlers of
        # deadly signals would hide them from the report.
        "ASAN_OPTIONS": f"log_path={REPORTS}/report:detect_leaks=0:detect_stack_use_after_return=1"
        ":handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_abort=2",
        "UBSAN_OPTIONS": f"log_path={REPORTS}/report:print_stacktrace=1",
    }
    command = [sys.executable, "-m", "pytest", TESTS, f"--ignore={LEFT_OUT}", *sys.argv[1:]]
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    reports = [path.read_text(errors="replace") for path in sorted(REPORTS.iterdir())]
    for report in reports:
        print(re.sub(r"(?m)^(.{300}).*", r"\1", report)[:8000], file=sys.stderr)
    if reports:
        print(f"the sanitizers have found something: see above, and {REPORTS}", file=sys.stderr)
    return status or bool(reports)


if __name__ == "__main__":
    sys.exit(main())
