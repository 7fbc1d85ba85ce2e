"""Lists the studies by name; each is defined in a file of its own."""

from googlenet_keras.studies.definitions import architectures, course, googlenet_ideas
from googlenet_keras.studies.study import Study

STUDIES: dict[str, Study] = {study.name: study for study in (architectures.STUDY, course.STUDY, googlenet_ideas.STUDY)}
