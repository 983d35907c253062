"""What every interpreter of this test does when it starts, the original's and ours: it sleeps a hundredth of the time that the
example tasks want to, and does without papermill, which none of them needs and which takes long to import."""

import sys
import time

sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 100)
sys.modules["papermill"] = None
