pub struct SqliteCheckpoint;
