pub struct S3Storage;
pub struct S3Settings;
