"""What every ObjectStore must do. Subclass it where a store can be made; each place runs the same tests."""

import io

import pytest

from windrow.lake.store import DELETE_KEYS_MAX, ListedObject, ObjectStore, PreconditionFailed, StoredObject, etag_of

HOSTILE_KEYS = ["a b", "a+b", "a%2Fb", "a=1/b", "ä/ü", "a'\"&<>b", "\U0001f321", "�"]


class StoreContract:
    """The tests; `store` must be an empty bucket, `paged_store` one whose listings have at most three keys a page."""

    def test_missing_object_is_none(self, store: ObjectStore) -> None:
        """A key that was never written reads as None."""
        assert store.get("missing") is None

    def test_put_then_get_gives_the_bytes_and_their_etag(self, store: ObjectStore) -> None:
        """What was written is read back, with the ETag that the write answered."""
        etag = store.put("k", b"one")
        assert store.get("k") == StoredObject(b"one", etag)
        assert '"' not in etag

    def test_put_replaces_the_whole_object(self, store: ObjectStore) -> None:
        """The second write wins whole, under another ETag."""
        first = store.put("k", b"one")
        second = store.put("k", b"twotwo")
        assert first != second
        assert store.get("k") == StoredObject(b"twotwo", second)

    def test_empty_object_is_no_missing_object(self, store: ObjectStore) -> None:
        """No bytes are bytes: a marker is there."""
        store.put("k", b"")
        stored = store.get("k")
        assert stored is not None
        assert stored.body == b""

    def test_file_is_sent_whole_wherever_it_stands(self, store: ObjectStore) -> None:
        """A body may be a file: its bytes from the beginning, and it stays open for another attempt."""
        file = io.BytesIO(b"one" * 100_000)
        file.seek(7)
        etag = store.put("k", file, if_absent=True)
        assert store.get("k") == StoredObject(file.getvalue(), etag)
        with pytest.raises(PreconditionFailed):
            store.put("k", file, if_absent=True)
        assert store.put("k", file, if_match=etag)

    def test_if_absent_writes_once(self, store: ObjectStore) -> None:
        """The first conditional write is stored, the second refused, and the first stays."""
        etag = store.put("k", b"one", if_absent=True)
        with pytest.raises(PreconditionFailed):
            store.put("k", b"two", if_absent=True)
        assert store.get("k") == StoredObject(b"one", etag)

    def test_if_absent_writes_again_after_a_delete(self, store: ObjectStore) -> None:
        """A deleted key is absent."""
        store.put("k", b"one")
        store.delete("k")
        store.put("k", b"two", if_absent=True)
        stored = store.get("k")
        assert stored is not None
        assert stored.body == b"two"

    def test_if_match_replaces_what_was_observed(self, store: ObjectStore) -> None:
        """The ETag of a write, of a read and of a listing are all good for a conditional write."""
        etag = store.put("k", b"one")
        assert etag_of(store, "k") == etag
        store.put("k", b"two", if_match=etag)
        read = store.get("k")
        assert read is not None
        store.put("k", b"three", if_match=read.etag)
        listed = etag_of(store, "k")
        store.put("k", b"four", if_match=listed)
        with pytest.raises(PreconditionFailed):
            store.put("k", b"five", if_match=etag)
        stored = store.get("k")
        assert stored is not None
        assert stored.body == b"four"

    def test_if_match_on_a_missing_key_is_refused(self, store: ObjectStore) -> None:
        """S3 answers 404 there, which is a failed precondition too, and nothing is written."""
        etag = store.put("k", b"one")
        store.delete("k")
        with pytest.raises(PreconditionFailed):
            store.put("k", b"two", if_match=etag)
        assert store.get("k") is None

    def test_two_conditions_at_once_are_refused(self, store: ObjectStore) -> None:
        """A write carries one condition."""
        with pytest.raises(ValueError, match="exclude"):
            store.put("k", b"one", if_match="e", if_absent=True)

    def test_delete_of_a_missing_key_is_no_error(self, store: ObjectStore) -> None:
        """Deleting twice is deleting once."""
        store.put("k", b"one")
        store.delete("k")
        store.delete("k")
        assert store.get("k") is None

    def test_many_are_deleted_at_once_whether_they_are_there_or_not(self, store: ObjectStore) -> None:
        """Those that are named are gone, the others are as they were; more than a request takes are several."""
        keys = [f"p/{number:04}" for number in range(DELETE_KEYS_MAX + 1)]
        for key in ("p/0000", f"p/{DELETE_KEYS_MAX:04}", "p/other"):
            store.put(key, b"one")
        store.delete_all(keys)
        store.delete_all([])
        assert [listed.key for listed in store.list_objects("p/")] == ["p/other"]

    def test_listing_has_key_etag_and_size_ascending(self, store: ObjectStore) -> None:
        """A listing names what is there under the prefix and nothing else, by the octets of the key."""
        etags = {key: store.put(key, key.encode()) for key in ("p/b", "p/a", "p/B", "p/a/c", "q", "p")}
        expected = [ListedObject(key, etags[key], len(key)) for key in ("p/B", "p/a", "p/a/c", "p/b")]
        assert list(store.list_objects("p/")) == expected

    def test_listing_of_nothing_is_empty(self, store: ObjectStore) -> None:
        """No key, no error."""
        assert list(store.list_objects("p/")) == []
        assert list(store.list_prefixes("p/")) == []

    def test_listing_sees_every_write_before_it(self, store: ObjectStore) -> None:
        """Listings are strongly consistent: puts, overwrites and deletes are seen at once."""
        store.put("p/a", b"one")
        store.put("p/b", b"one")
        assert [listed.key for listed in store.list_objects("p/")] == ["p/a", "p/b"]
        store.delete("p/a")
        store.put("p/b", b"four")
        assert [(listed.key, listed.size_bytes) for listed in store.list_objects("p/")] == [("p/b", 4)]

    def test_listing_goes_on_over_pages(self, paged_store: ObjectStore) -> None:
        """Pages are invisible to who reads a listing."""
        keys = [f"p/{number:02}" for number in range(8)]
        for key in keys:
            paged_store.put(key, b"")
        assert [listed.key for listed in paged_store.list_objects("p/")] == keys

    def test_prefixes_are_folded_at_the_next_slash(self, store: ObjectStore) -> None:
        """Each continuation up to the next slash comes once; keys without one are left out."""
        for key in ("p/b/1", "p/a/1", "p/a/2", "p/a/x/1", "p/plain", "q/1"):
            store.put(key, b"")
        assert list(store.list_prefixes("p/")) == ["p/a/", "p/b/"]

    def test_prefixes_are_folded_at_the_next_dash(self, store: ObjectStore) -> None:
        """Any character can be the delimiter; a slash is none then."""
        for key in ("p/b-1", "p/a-1", "p/a-2/x", "p/c/x-1", "p/plain", "q-1"):
            store.put(key, b"")
        assert list(store.list_prefixes("p/", delimiter="-")) == ["p/a-", "p/b-", "p/c/x-"]

    def test_prefixes_go_on_over_pages(self, paged_store: ObjectStore) -> None:
        """A prefix whose keys fill a page comes once, and those after it come too."""
        for number in range(7):
            for key in range(4):
                paged_store.put(f"p/{number}/{key}", b"")
        assert list(paged_store.list_prefixes("p/")) == [f"p/{number}/" for number in range(7)]

    def test_etag_of_one_key_ignores_its_longer_neighbours(self, store: ObjectStore) -> None:
        """A key that only begins alike is another key."""
        store.put("k.parquet.old", b"old")
        assert etag_of(store, "k.parquet") is None
        etag = store.put("k.parquet", b"new")
        assert etag_of(store, "k.parquet") == etag

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_key_comes_back_as_it_was_written(self, store: ObjectStore, key: str) -> None:
        """No key is mangled on its way to and from a listing."""
        etag = store.put(f"p/{key}", b"x")
        assert store.get(f"p/{key}") == StoredObject(b"x", etag)
        assert [listed.key for listed in store.list_objects("p/")] == [f"p/{key}"]
