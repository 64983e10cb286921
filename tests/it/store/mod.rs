//! One list of bodies, run on SQLite and on the lab's MariaDB: what the store promises holds on both.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod bench;
mod commit_thief;
mod due;
mod engine;
mod fleet;
mod mail;
mod private_server;
mod queue;
mod registry;
mod rivals;
mod sets;

use bench::{Bench, Kind};

macro_rules! conformance {
    ($($part:ident :: $name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let mut bench = super::Bench::new(super::Kind::Sqlite).await;
                    super::$part::$name(&mut bench).await;
                    bench.end().await;
                }
            )*
        }
        mod on_mariadb {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let mut bench = super::Bench::new(super::Kind::MariaDb).await;
                    super::$part::$name(&mut bench).await;
                    bench.end().await;
                }
            )*
        }
    };
}

conformance!(
    registry::a_provider_is_stored_changed_and_removed_and_its_secret_is_never_in_the_clear,
    registry::an_account_is_stored_changed_paused_and_removed,
    registry::a_name_or_key_is_taken_once,
    registry::a_damaged_secret_or_word_parks_only_its_account,
    registry::a_second_secret_changes_places_with_the_one_that_was_refused,
    registry::a_sign_in_state_is_taken_once_and_in_time,
    registry::a_sign_in_of_somebody_else_is_held_sealed_and_confirmed_in_one_commit,
    registry::a_name_is_confirmed_only_for_whose_grant_it_is,
    registry::a_grant_is_refreshed_only_by_its_holder_and_only_once_per_version,
    registry::nodes_of_the_same_home_replace_each_other_and_free_their_leases,
    registry::a_dead_node_is_removed_only_at_the_beat_that_was_seen,
    registry::text_of_any_length_and_kind_is_stored,
    mail::a_batch_is_stored_with_contact_conversation_event_and_cursor,
    mail::the_same_batch_again_changes_nothing,
    mail::a_known_message_that_appears_again_is_no_second_message,
    mail::answers_find_their_conversation,
    mail::what_cannot_be_read_is_put_aside_and_blocks_nothing,
    mail::a_contact_is_saved_once_and_never_loses_its_name,
    mail::a_cursor_that_makes_no_sense_is_damage_and_uids_out_of_order_are_refused,
    mail::a_batch_that_is_cut_off_leaves_nothing_behind,
    queue::a_message_goes_from_queue_to_sent_in_recorded_steps,
    queue::the_same_request_is_queued_once_and_another_one_with_its_key_is_a_clash,
    queue::copies_are_settled_one_by_one_and_final_ones_never_change,
    queue::an_announced_dot_of_a_lost_lease_is_in_doubt_and_a_claim_is_claimed_again,
    queue::a_claim_is_given_back_unharmed,
    queue::a_lane_that_begins_again_doubts_its_own_dot,
    queue::a_copy_with_an_unknown_state_stops_only_its_account,
    queue::an_account_with_waiting_mail_is_removed_only_with_its_queue,
    queue::more_recipients_than_a_server_takes_are_claimed_in_turns,
    queue::what_a_clock_that_was_ahead_put_off_is_due_again_and_a_callers_date_is_kept,
    queue::tries_of_the_line_cost_no_message_an_attempt,
    rivals::an_old_lease_writes_nothing_and_its_neighbours_go_through,
    rivals::two_claimers_never_get_the_same_copy,
    rivals::two_nodes_never_get_the_same_lease,
    rivals::two_sequencers_number_every_event_once_and_no_reader_misses_one,
    rivals::callers_that_are_dropped_disturb_nobody,
    rivals::many_writers_at_once_are_all_answered,
    rivals::a_stopped_store_finishes_what_waits_and_then_is_closed,
    sets::mail_stored_many_at_a_time_is_stored_as_one_by_one,
    fleet::two_hundred_tasks_of_three_nodes_cause_one_request,
    due::last_contacts_only_grow_and_survive_a_crash,
    due::the_contacts_of_ten_thousand_accounts_are_recorded_at_once,
    due::an_announcement_is_made_once_by_whomever_and_again_after_a_wrong_clock,
    due::a_silence_is_marked_with_its_announcement_until_it_is_over,
    engine::tables_have_only_portable_columns_and_every_table_has_a_primary_key,
);
