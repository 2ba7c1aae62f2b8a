-- No job has been made.
PAUSE JOB board.hourly;
