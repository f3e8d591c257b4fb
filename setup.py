"""The distribution `tagmine`; also what Beam's --setup_file takes to remote workers."""

from setuptools import setup

setup()
