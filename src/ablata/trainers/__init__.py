"""What a study can judge beside our own trainings: scores that exist, in tables and in other tools' run folders."""
