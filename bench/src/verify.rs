//! Verifies that the figures in file and page follow from the raw rounds.

use crate::results::Results;

/// Every difference between what is written and what the rounds say: what follows from them, and how the
/// page shows it.
pub(crate) fn differences(
    results: &Results,
    page: &str,
    settle: fn(&mut Results),
    in_page: fn(&str, &Results) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<String>> {
    let mut again = results.clone();
    settle(&mut again);
    let mut found = Vec::new();
    if again.rows.len() != results.rows.len() || again.ratios.len() != results.ratios.len() {
        found.push("rows or ratios are missing, or there are too many".to_owned());
    }
    for (written, due) in results.rows.iter().zip(&again.rows) {
        if written != due {
            let of = format!("{} {} {}", written.case, written.candidate, written.metric);
            found.push(format!(
                "{of}: written {}, found {}",
                written.median, due.median
            ));
        }
    }
    for (written, due) in results.ratios.iter().zip(&again.ratios) {
        if written != due {
            let of = format!("{} {} to {}", written.case, written.of, written.to);
            found.push(format!("{of}: written {written:?}, found {due:?}"));
        }
    }
    if in_page(page, results)? != page {
        found.push("the page's table is not that of the file".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;
    use crate::results::{Conditions, Row};
    use std::collections::BTreeMap;

    fn differences(results: &Results, page: &str) -> anyhow::Result<Vec<String>> {
        super::differences(results, page, Results::settle, report::in_page)
    }

    const EMPTY: &str = "# Page\n<!-- made from bench/results/proxy.json by `make bench-proxy`; do not edit -->\n\
                         <!-- end of what is made -->\nrest\n";

    fn results() -> Results {
        let row = |candidate: &str, centre: f64| {
            let rounds = (0..11)
                .map(|round| centre + f64::from(round) / 10.0)
                .collect();
            Row::of(
                "keep-alive-64",
                candidate,
                "cpu per operation",
                "µs",
                rounds,
            )
            .unwrap()
        };
        let mut results = Results {
            when: "2026-11-21T12:00:00Z".into(),
            commit: "abc".into(),
            machine: BTreeMap::new(),
            versions: BTreeMap::new(),
            binaries: BTreeMap::new(),
            configs: BTreeMap::new(),
            skipped: BTreeMap::new(),
            failed: BTreeMap::new(),
            cases: BTreeMap::new(),
            rows: Vec::new(),
            ratios: Vec::new(),
        };
        let rows = vec![
            row("portolan", 8.0),
            row("portolan-again", 8.0),
            row("haproxy", 16.0),
        ];
        results.take_case("keep-alive-64", Conditions::default(), rows);
        results
    }

    #[test]
    fn verifies_figures_that_follow_from_rounds() {
        let results = results();
        let page = report::in_page(EMPTY, &results).unwrap();
        assert!(page.contains("**holds**"), "{page}");
        assert!(page.starts_with("# Page") && page.ends_with("rest\n"));
        assert_eq!(differences(&results, &page).unwrap(), Vec::<String>::new());
        // Written and read, it is still the same.
        let text = serde_json::to_string(&results).unwrap();
        let read: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(differences(&read, &page).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn detects_changed_figures_verdicts_and_tables() {
        let right = results();
        let page = report::in_page(EMPTY, &right).unwrap();
        let mut changed = right.clone();
        changed.rows[0].median -= 0.1;
        assert!(!differences(&changed, &page).unwrap().is_empty());
        let mut changed = right.clone();
        changed.rows[0].rounds[3] += 0.1;
        assert!(!differences(&changed, &page).unwrap().is_empty());
        let mut changed = right.clone();
        changed.ratios[0].verdict = Some(crate::statistics::Verdict::Fails);
        assert!(!differences(&changed, &page).unwrap().is_empty());
        let mut changed = right.clone();
        changed.ratios.remove(0);
        assert!(!differences(&changed, &page).unwrap().is_empty());
        assert!(
            !differences(&right, &page.replace("holds", "fails"))
                .unwrap()
                .is_empty()
        );
    }
}
