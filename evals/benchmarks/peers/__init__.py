"""One program for each peer: the same requests to the same loopback server, measured from the inside."""
