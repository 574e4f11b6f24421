//! The largest that is read, to the byte, and its own answer for each kind of too much.

use super::{all_refused_with, get};
use crate::messages::shop;
use crate::origin::Origin;

/// A GET whose head has exactly this length.
fn head_of(length: usize) -> String {
    let frame = get("X: ").len();
    get(&format!("X: {}", "y".repeat(length - frame)))
}

/// A GET whose target has exactly this length.
fn target_of(length: usize) -> String {
    let path = "a".repeat(length - 1);
    format!("GET /{path} HTTP/1.1\r\nHost: shop.test\r\n\r\n")
}

/// A GET with exactly so many fields.
fn fields_of(count: usize) -> String {
    get("X: y\r\n".repeat(count - 1).trim_end())
}

#[tokio::test]
async fn a_head_that_is_just_small_enough_passes() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for request in [head_of(64 * 1024), target_of(16 * 1024), fields_of(100)] {
        client.send(&request).await;
        assert_eq!(client.response().await.status, 200, "{}", request.len());
    }
    assert_eq!(origin.requests().len(), 3);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let nameless = "X".repeat(70_000);
    all_refused_with(
        &[
            head_of(64 * 1024 + 1),
            head_of(100 * 1024),
            get(&"X: y\r\n".repeat(20_000)),
            get(&format!("{nameless}: y")),
        ],
        431,
    )
    .await;
}

#[tokio::test]
async fn too_many_fields_are_431() {
    all_refused_with(&[fields_of(101), fields_of(1000)], 431).await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_414() {
    let endless = format!("GET /{}", "a".repeat(200_000));
    all_refused_with(&[target_of(16 * 1024 + 1), target_of(30_000), endless], 414).await;
}
