//! Reads what the tests need of Markdown: headings, links and fenced blocks.

use std::collections::{BTreeMap, BTreeSet};

/// A Markdown page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Relative to the root of the repository.
    pub(crate) path: String,
    text: String,
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Line of its first content line.
    pub(crate) line: usize,
    /// Word behind the opening fence.
    pub(crate) language: String,
    pub(crate) content: String,
}

/// Target of a link, and where the link is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) target: String,
}

impl Page {
    pub(crate) fn new(path: String, text: String) -> Self {
        Self { path, text }
    }

    /// Returns the fenced blocks. A fence that is not closed ends with the page.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block {
                        line: number + 1,
                        language: language.to_owned(),
                        content: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.content.push_str(line);
                    block.content.push('\n');
                }
                (None, None) => {}
            }
        }
        blocks.extend(open);
        blocks
    }

    /// Returns the numbered lines outside of fenced blocks.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut fenced = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }

    /// Returns inline links and images. Code spans are skipped, links around them are not.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (line, text) in self.prose() {
            let text: String = text.split('`').step_by(2).collect();
            for rest in text.split("](").skip(1) {
                let (target, _) = rest.split_once(')').unwrap_or((rest, ""));
                let target = target.to_owned();
                links.push(Link { line, target });
            }
        }
        links
    }

    /// Returns the anchors of the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for (_, line) in self.prose() {
            let title = line.trim_start_matches('#');
            if title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let anchor = slug(title);
            let count = counts.entry(anchor.clone()).or_default();
            anchors.insert(match *count {
                0 => anchor,
                again => format!("{anchor}-{again}"),
            });
            *count += 1;
        }
        anchors
    }
}

/// Lower case, without punctuation, hyphens for spaces.
fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter_map(|char| match char {
        ' ' => Some('-'),
        '-' | '_' => Some(char),
        _ if char.is_alphanumeric() => Some(char),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[test]
fn reads_headings_links_and_blocks() {
    let text = "\
# A `portolan` page, really
[one](a.md#x) and `[no](code)` and [`code`](b.md)
```sh
# not a heading
[no](block)
```
## Twice
## Twice
";
    let page = Page::new("page.md".into(), text.into());
    let anchors = ["a-portolan-page-really", "twice", "twice-1"].map(str::to_owned);
    assert_eq!(page.anchors(), BTreeSet::from(anchors));
    let links = page.links();
    let targets: Vec<_> = links.iter().map(|link| link.target.as_str()).collect();
    assert_eq!(targets, ["a.md#x", "b.md"]);
    let [block] = page.blocks().try_into().unwrap();
    assert_eq!((block.line, block.language.as_str()), (4, "sh"));
    assert_eq!(block.content, "# not a heading\n[no](block)\n");
}
