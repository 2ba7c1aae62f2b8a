-- A stream is a topic, and a topic is a folder: not every name will do.
CREATE STREAM "My Stream" (id INT);
