//! The prompt, driven through a terminal.

mod editing;
mod jobs;
mod live;
mod looking;
pub(crate) mod terminal;

use crate::cli::Place;
use terminal::Terminal;

/// A stream of some flights.
const FLIGHTS: &str = "CREATE STREAM flights (origin TEXT, delay BIGINT);
    INSERT INTO flights VALUES ('JFK', 5), ('EWR', 10), ('JFK', 7), ('LGA', NULL)";

/// A place with the stream, and the prompt in it.
fn opened() -> (Place, Terminal) {
    let place = Place::new();
    place.sql(FLIGHTS);
    let terminal = Terminal::open(&place, &[], (24, 80));
    terminal.prompts();
    (place, terminal)
}
