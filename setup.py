"""Builds the C core with the package; everything else is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=["csrc/build_cffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
