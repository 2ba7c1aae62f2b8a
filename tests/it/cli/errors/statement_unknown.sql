UPDATE trips SET fare = 1;
