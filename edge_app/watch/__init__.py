"""Is this vehicle fit for duty? Looks at the machine, the model's files, the keys and the processes; tests itself.

The findings go into the ledger as the heartbeat of the process `watch`; the screen reads them there and is READY only
when nothing is wrong.
"""

from __future__ import annotations
