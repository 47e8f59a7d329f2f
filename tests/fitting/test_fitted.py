from __future__ import annotations

from dataclasses import replace

from alnico.fitting import Fitted


def test_members_are_those_of_all_groups_in_their_order(searched: Fitted) -> None:
    names = [member.name for member in searched.members]
    assert names == [m.name for group in searched.groups for m in group.members]
    assert len(set(names)) == len(names)


def test_its_records_number_the_rows_of_the_leaderboard(searched: Fitted) -> None:
    records = searched.records()
    assert [record["kind"] for record in records] == [row.kind for row in searched.rows]
    live = [record["row"] for record in records if record["skipped"] is None]
    assert live == list(range(1, len(live) + 1))


def test_the_test_part_is_opened_when_it_is_complete_and_not_before(searched: Fitted) -> None:
    assert searched.status == "complete" and searched.test_opened
    assert not replace(searched, status="interrupted").test_opened
    assert not Fitted(searched.options, searched.prepared).test_opened
