//! Work beside the screen. Of each topic one job runs and one waits; a newer one takes the place of the
//! one that waits and tells the one that runs to stop.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::app::ViewId;
use crate::event::Event;

/// What a job is for: a view, and a word for the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The view that asked.
    pub view: ViewId,
    /// The question.
    pub word: &'static str,
}

/// An answer: its type is known to the view that asked.
pub type Answer = Box<dyn Any + Send>;

/// What a job says.
pub struct Notice {
    /// What it is for.
    pub topic: Topic,
    /// An answer, or part of one; or what went wrong.
    pub answer: Option<Result<Answer, String>>,
    /// Whether the job has ended.
    pub is_end: bool,
}

/// What a job knows of the world.
pub struct Work {
    topic: Topic,
    stop: Arc<AtomicBool>,
    events: Sender<Event>,
}

impl Work {
    /// Whether nobody waits for the answer any more.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sends part of an answer.
    pub fn send(&self, answer: Answer) {
        if !self.is_stopped() {
            self.notice(Some(Ok(answer)), false);
        }
    }

    fn notice(&self, answer: Option<Result<Answer, String>>, is_end: bool) {
        // Nobody listens any more when the screen is being left.
        let _ = self.events.send(Event::Job(Notice { topic: self.topic, answer, is_end }));
    }
}

/// Something to do.
pub type Job = Box<dyn FnOnce(&Work) -> Result<Answer, String> + Send>;

/// All jobs.
pub struct Jobs {
    events: Sender<Event>,
    running: HashMap<Topic, Running>,
    /// Loads that wait for others to end.
    queued: Vec<(Topic, Job)>,
}

/// The question of a view for all that it shows.
pub const LOAD: &str = "load";

/// Loads that run at once. Who walks through the tree passes many views; the newest is loaded first.
const LOADS: usize = 3;

struct Running {
    stop: Arc<AtomicBool>,
    waiting: Option<Job>,
}

impl Jobs {
    /// No jobs; what they say is sent here.
    pub fn new(events: Sender<Event>) -> Self {
        Self { events, running: HashMap::new(), queued: Vec::new() }
    }

    /// Starts a job, or lets it wait for the one of its topic to end.
    pub fn start(&mut self, topic: Topic, job: Job) {
        if let Some(running) = self.running.get_mut(&topic) {
            running.stop.store(true, Ordering::Relaxed);
            running.waiting = Some(job);
            return;
        }
        let loads = self.running.keys().filter(|topic| topic.word == LOAD).count();
        if topic.word == LOAD && loads >= LOADS {
            return self.queued.push((topic, job));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work { topic, stop: stop.clone(), events: self.events.clone() };
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(|| job(&work)));
            let result =
                result.unwrap_or_else(|_| Err("the work failed, which is a fault of ckx".to_owned()));
            let answer = (!work.is_stopped()).then_some(result);
            work.notice(answer, true);
        };
        let started = std::thread::Builder::new().name("job".to_owned()).spawn(run);
        match started {
            Ok(_) => drop(self.running.insert(topic, Running { stop, waiting: None })),
            Err(error) => {
                let answer = Some(Err(format!("no thread can be started: {error}")));
                let _ = self.events.send(Event::Job(Notice { topic, answer, is_end: true }));
            }
        }
    }

    /// A job has ended: the one that waited for it starts.
    pub fn ended(&mut self, topic: Topic) {
        if let Some(job) = self.running.remove(&topic).and_then(|running| running.waiting) {
            self.start(topic, job);
        } else if topic.word == LOAD
            && let Some((topic, job)) = self.queued.pop()
        {
            self.start(topic, job);
        }
    }

    /// Stops what runs for a topic, or for a whole view.
    pub fn stop(&mut self, view: ViewId, word: Option<&str>) {
        self.queued.retain(|(topic, _)| topic.view != view || word.is_some_and(|word| word != topic.word));
        for (topic, running) in &mut self.running {
            if topic.view == view && word.is_none_or(|word| word == topic.word) {
                running.stop.store(true, Ordering::Relaxed);
                running.waiting = None;
            }
        }
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queued.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    const TOPIC: Topic = Topic { view: ViewId(1), word: "test" };

    fn next(events: &Receiver<Event>) -> Notice {
        match events.recv_timeout(Duration::from_secs(60)) {
            Ok(Event::Job(notice)) => notice,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_question_is_the_one_that_is_answered() {
        let (send, receive) = channel();
        let mut jobs = Jobs::new(send);
        let (go, wait) = channel::<()>();
        jobs.start(
            TOPIC,
            Box::new(move |work| {
                wait.recv().map_err(|error| error.to_string())?;
                assert!(work.is_stopped());
                work.send(Box::new(0));
                Ok(Box::new(1))
            }),
        );
        jobs.start(TOPIC, Box::new(|_| Ok(Box::new(2))));
        jobs.start(TOPIC, Box::new(|_| Ok(Box::new(3))));
        go.send(()).expect("the job waits");
        let first = next(&receive);
        assert!(first.is_end && first.answer.is_none(), "what nobody waits for is not told");
        jobs.ended(TOPIC);
        let second = next(&receive);
        let answer =
            second.answer.expect("an answer").expect("no fault").downcast::<i32>().expect("a number");
        assert_eq!(*answer, 3);
        jobs.ended(TOPIC);
        assert!(jobs.is_idle());
    }

    #[test]
    fn of_many_loads_the_newest_comes_first() {
        let (send, receive) = channel();
        let mut jobs = Jobs::new(send);
        let mut ways = Vec::new();
        for view in 0..LOADS as u64 + 2 {
            let (go, wait) = channel::<()>();
            ways.push(go);
            let topic = Topic { view: ViewId(view), word: LOAD };
            jobs.start(
                topic,
                Box::new(move |_| wait.recv().map(|()| Box::new(()) as Answer).map_err(|e| e.to_string())),
            );
        }
        // One is let go at a time, so that what ends next does not depend on how threads are scheduled.
        let newest = LOADS + 1;
        let order = [0, newest, 1, newest - 1];
        for view in order {
            ways[view].send(()).expect("the job waits, or will");
            let topic = next(&receive).topic;
            assert_eq!(topic.view.0, view as u64, "only this one can have ended");
            jobs.ended(topic);
        }
        ways[2].send(()).expect("the job waits");
        jobs.ended(next(&receive).topic);
        assert!(jobs.is_idle());
    }

    #[test]
    fn a_job_that_panics_is_an_answer() {
        let (send, receive) = channel();
        let mut jobs = Jobs::new(send);
        jobs.start(TOPIC, Box::new(|_| panic!("on purpose")));
        let notice = next(&receive);
        assert!(notice.is_end);
        assert!(notice.answer.expect("an answer").is_err_and(|reason| reason.contains("fault of ckx")));
    }
}
