"""`make bench`: what planning, reading and writing cost. Prints ratios, writes bench.json, asserts nothing.

Planning is measured beside wg-meshconf making the same mesh in the same run. Talking is measured on simulated routers on
loopback; the simulated MikroTik routers live in one thread, whose processor time is taken off.
"""
