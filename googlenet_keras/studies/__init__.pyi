from .running import run_study as run_study
from .study import Entry as Entry, Study as Study, load_study as load_study, study_names as study_names
