MERGE INTO trips USING other ON trips.id = other.id;
