"""One module a verb: ``Request`` declares its flags and what is sent, ``run`` does it and answers the exit code."""
