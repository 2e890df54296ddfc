"""The fuzz targets over inputs that are known: what once was a finding, and the seeds of our own.

Oracles: the invariants that each target states at its top and CHECKs, and AddressSanitizer and
UndefinedBehaviorSanitizer. Without libFuzzer, so that any compiler will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.application_tables import write_header
from tests.fuzz.seeds import FOLDER, TARGETS, own, write

# One is enough: where clang is, `make fuzz-short` compiles the same targets with it, and optimized, which takes five
# times as long.
COMPILER = shutil.which("gcc") or shutil.which("clang") or ""
FLAGS = ["-std=c11", "-g", "-O0", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
FLAGS += [
    f"-I{FOLDER.parent.parent / 'ext'}",
    f"-I{FOLDER}",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]


def build(source: Path, program: Path) -> Path:
    write_header(program.parent / "application_tables.h")
    include = f"-I{program.parent}"
    subprocess.run([COMPILER, *FLAGS, include, source, FOLDER / "replay.c", "-o", program], check=True, timeout=300)
    return program


def replay(program: Path, inputs: list[Path]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run([program, *inputs], capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.skipif(not COMPILER, reason="no C compiler")
@pytest.mark.parametrize("target", TARGETS)
def test_known_inputs(target: str, tmp_path: Path) -> None:
    """Each target has at least one crash, or an input made to be one."""
    crashes = sorted((FOLDER / "crashes" / target).glob("*"))
    assert crashes, f"tests/fuzz/crashes/{target}/ has no input"
    write(tmp_path / "seeds", own(target))
    inputs = [*crashes, *sorted((tmp_path / "seeds").iterdir())]
    result = replay(build(FOLDER / f"{target}.c", tmp_path / "program"), inputs)
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stderr.splitlines() == [str(one) for one in inputs], "each was read, and nothing else was said"


@pytest.mark.skipif(not COMPILER, reason="no C compiler")
def test_a_broken_invariant_is_told(tmp_path: Path) -> None:
    """The condition that did not hold, and before it the input's name."""
    source = tmp_path / "broken.c"
    source.write_text(
        '#include "input.h"\n'
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {\n"
        "    CHECK(size < 3 || data[0] != 'x');\n"
        "    return 0;\n"
        "}\n"
    )
    (tmp_path / "good").write_bytes(b"yes")
    (tmp_path / "bad").write_bytes(b"x no")
    program = build(source, tmp_path / "program")
    assert replay(program, [tmp_path / "good"]).returncode == 0
    result = replay(program, [tmp_path / "good", tmp_path / "bad", tmp_path / "good"])
    assert result.returncode != 0
    named, told = result.stderr.splitlines()[1:3]
    assert named == str(tmp_path / "bad")
    assert "does not hold: size < 3" in told
