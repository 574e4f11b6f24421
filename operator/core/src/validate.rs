//! What one object says, judged alone. Collects every problem, so that a person fixes all in one go.
