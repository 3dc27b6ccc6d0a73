pub struct LocalStorage;
