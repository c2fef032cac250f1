"""How Hypothesis works here: an example may take its time, as machines that do other things have pauses."""

from hypothesis import settings

settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")
