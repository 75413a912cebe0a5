"""How long a test waits at most, and what it would wait for were it wrong to wait.

A machine of many users may stand still for half a minute: no shorter wait tells right from wrong.
"""

AT_MOST, FOR_EVER = 200.0, 1000.0  # seconds
