"""Builds every ext/*.pyx as spanline._<name>; everything else stands in pyproject.toml."""

import os
import sys
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

sanitize = os.environ.get("SPANLINE_SANITIZE") == "1"
# The C headers are held to -Wconversion -Werror by `make headers`; the code Cython writes cannot be.
quiet = ["-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-cast-function-type", "-Wno-sign-compare"]
checked = ["-O1", "-g", "-fno-wrapv", "-fno-omit-frame-pointer"]
checked += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
unix_flags = ["-Wall", "-Wextra", *quiet, *(checked if sanitize else ["-O3"])]

# What only Linux has: its packet ring, and privileges that are a thread's.
linux_only = {"ring", "threads"}

extensions = [
    Extension(
        f"spanline._{Path(source).stem}",
        [source],
        include_dirs=["ext"],
        depends=sorted(glob("ext/*.h")),
        extra_compile_args=["/O2"] if sys.platform == "win32" else unix_flags,
        extra_link_args=["-fsanitize=address,undefined"] if sanitize else [],
    )
    for source in sorted(glob("ext/*.pyx"))
    if Path(source).stem not in linux_only or sys.platform == "linux"
]
options: dict[str, dict[str, object]] = {"build_ext": {"parallel": os.cpu_count() or 1}}
if sanitize:
    options["build"] = {"build_base": "build/sanitize"}  # never mix the two kinds of object file
setup(ext_modules=cythonize(extensions, language_level=3), options=options)
