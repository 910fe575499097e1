from __future__ import annotations

from pathlib import Path

from stackup.network.leases import Book, Books, Lease
from stackup.network.neighbours import Neighbours

STATE = {
    "key": "d",
    "name": "shop_d",
    "id": "1",
    "owner": "shop",
    "bridge": "skb1",
    "ifindex": 2,
    "group": 7,
    "subnet": "10.0.0.0/24",
}


def test_a_lease_file_is_a_journal(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.write("skb1", Book(STATE))
    books.lease("skb1", "10.0.0.2", Lease("shop", "c1"), asked=False)
    books.lease("skb1", "10.0.0.99", Lease("shop", "c2", ("db", "shop-db-1")), asked=True)
    books.lease("skb1", "10.0.0.3", Lease("blog", "c3", ("web", "we b")), asked=False)
    books.free("skb1", "10.0.0.2")
    found = books.read("skb1")
    assert found is not None
    assert found.addresses == {
        "10.0.0.99": Lease("shop", "c2", ("db", "shop-db-1")),
        "10.0.0.3": Lease("blog", "c3", ("web",)),
    }
    assert (found.last, found.of("c3"), found.of("c1")) == ("10.0.0.3", "10.0.0.3", "")
    state = books.find("shop_d")
    assert state is not None and state.bridge == "skb1"
    assert books.find("other") is None


def test_what_a_crash_cut_short_is_not_believed(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.write("skb1", Book(STATE))
    books.lease("skb1", "10.0.0.2", Lease("shop", "c1"), asked=False)
    with (tmp_path / "skb1.leases").open("a") as file:
        file.write("+ 10.0.0.3 shop c x")
    found = books.read("skb1")
    assert found is not None and list(found.addresses) == ["10.0.0.2"]
    (tmp_path / "skb2.leases").write_text('{"half":')
    assert books.read("skb2") is None
    assert books.read("skb3") is None
    books.drop("skb1")
    books.drop("skb1")
    assert books.bridges() == ["skb2"]


def test_names_of_other_stacks(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.write("skb1", Book({**STATE, "subnet6": "fd00::/64"}))
    neighbours = Neighbours(books, "blog")
    assert neighbours.lookup("skb1", "db") is None
    books.lease("skb1", "10.0.0.2", Lease("shop", "c1", ("DB", "shop-db-1")), asked=False)
    books.lease("skb1", "10.0.0.3", Lease("blog", "c2", ("mine",)), asked=False)
    assert neighbours.lookup("skb1", "db") == ("10.0.0.2", "fd00::2")
    assert neighbours.lookup("skb1", "mine") is None
    books.free("skb1", "10.0.0.2")
    assert neighbours.lookup("skb1", "db") is None
    assert neighbours.lookup("skb9", "db") is None
