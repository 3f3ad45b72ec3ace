"""The studio: a local web page over the projects of a folder, for people who do not live in a terminal.

A face of the Python API, as the command line is: views read projects through the API, and long work is
a command of Packshot's in a process of its own (`jobs.py`). How a view is added: docs/studio.md.
"""
