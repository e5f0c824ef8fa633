# Tests of web/: against the program, over HTTP.
dist_check_SCRIPTS += tests/web/test_rest.py
