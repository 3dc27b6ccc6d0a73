pub struct InProcessQueue;
