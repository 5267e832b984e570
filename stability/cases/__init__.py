"""NaNs and lost digits that people reported of JAX functions and gradients, declared, to be reproduced and measured."""

from stability.cases.declared import CASES as CASES
from stability.cases.declared import Case as Case
from stability.cases.finding import Finding as Finding
from stability.cases.finding import examine as examine
