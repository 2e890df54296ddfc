"""Fixtures and rules for every test: where the shared captures stand, and that CI skips nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import spanline
from tests.commands import cut_capture, whole_capture
from tests.kept import STATE, own_folders
from tests.made_once import made_once

if TYPE_CHECKING:
    from tests.lab.recordings import Recordings
    from tests.lab.watching import Watched
    from tests.own_network import Sender

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
REPOSITORY = Path(__file__).resolve().parent.parent


def shared_folder(name: str) -> Path:
    """A folder of the shared test data: below $SPANLINE_CAPTURES, else below `shared` beside the repository."""
    shared = Path(os.environ.get("SPANLINE_CAPTURES") or REPOSITORY.parent / "shared")
    return shared / name


def require_shared(name: str) -> Path:
    folder = shared_folder(name)
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set SPANLINE_CAPTURES to the folder that holds captures/ and oracle/")
    return folder


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of captures; MANIFEST.tsv in it lists them. Skips where it is absent."""
    return require_shared("captures")


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The folder of what tshark says of every capture. Skips where it is absent."""
    return require_shared("oracle")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A small capture of our own."""
    return whole_capture(tmp_path)


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """The same, cut in the middle of its last record."""
    return cut_capture(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept for the user is in folders of this process: what whoever runs the tests has is neither used nor
    changed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in own_folders(tmp_path_factory, tmp_path_factory.mktemp("user")).items():
            patch.setenv(name, folder)
        yield


@pytest.fixture
def apart(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for the user is in folders of the test; disks are not waited for, as nothing here cuts the power."""
    for name, folder in own_folders(tmp_path_factory, tmp_path).items():
        monkeypatch.setenv(name, folder)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where spanline keeps its key and its log in all tests of a module, in folders of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in own_folders(tmp_path_factory, tmp_path_factory.mktemp("user")).items():
            patch.setenv(name, folder)
        yield Path(os.environ[STATE]) / "spanline"


@pytest.fixture
def network() -> Iterator[None]:
    """The test is in a network of its own: tests/own_network.py."""
    from tests.own_network import own_network

    with own_network():
        yield


@pytest.fixture
def cable(network: None) -> Iterator[Sender]:
    """What puts frames on the far end of that network's cable."""
    from tests.own_network import Sender

    with Sender() as sender:
        yield sender


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """What the lab recorded: once for all tests, whichever process needs it first. Skips where there can be no lab."""
    _require_linux()
    from tests.lab import recordings as recording

    _require(recording.missing())
    return recording.load(made_once(tmp_path_factory, "lab", recording.record))


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """What was watched live behind the mirrors of the lab; in the same way."""
    _require_linux()
    from tests.lab import watching

    _require(watching.missing())
    return watching.load(made_once(tmp_path_factory, "watched", watching.watch))


def _require_linux() -> None:
    if sys.platform != "linux":
        pytest.skip("the lab is made of Linux namespaces")


def _require(missing: str) -> None:
    """`missing` says what is; "" for nothing."""
    if missing:
        pytest.skip(missing)


def pytest_report_header() -> str:
    return f"spanline: {spanline.__version__} from {spanline.__file__}"


def pytest_configure() -> None:
    installed_from = Path(spanline.__file__).resolve()
    if IN_CI and installed_from.is_relative_to(REPOSITORY / "src"):
        raise pytest.UsageError(f"CI tests the built wheel, but spanline was imported from {installed_from}")


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a skip is a failure: a test that silently stopped running proves nothing."""
    if not IN_CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped, which CI does not allow: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report
