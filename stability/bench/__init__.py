"""Speed, asserted: what each part of the project costs beside its alternatives, as ratios within one run."""
