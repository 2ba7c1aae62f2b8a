STOP board;
