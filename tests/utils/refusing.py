"""Drives and machines that refuse."""

import os


def refusing(number, meant=lambda *given: True, real=None):
    """A call that fails with this `errno`; with `real`, only where `meant` says so of what is given."""

    def call(*given, **options):
        if real is None or meant(*given):
            raise OSError(number, os.strerror(number))
        return real(*given, **options)

    return call
