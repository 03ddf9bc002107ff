from tests.fakes.house import CRM, SHOP, house
from tests.fakes.meta import expired_token, outage
import pytest
@pytest.mark.parametrize("answer", [expired_token(), outage()])
def test_share(answer):
    home = house(in_flight_events=3000)
    home.meta.standing[CRM] = answer
    home.publish(0, events=5000, destination=CRM)
    places = home.publish(1, events=10, destination=SHOP)
    home.run(1200)
    assert all(home.meta.accepted[place] == 1 for place in places)
def test_readfailed_in_close():
    home = house()
    home.publish(0, events=10)
    home.run(0.3)
    home.source.fail_read(dropping=0)
    assert home.pipeline.close() == 0
    assert home.committed(0) == 10
def test_failed_letter_of_an_ended_tenure_is_not_produced_again():
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.dead_letters.silent = True
    home.run(1)
    home.source.revoke(0)
    home.run(3)
    home.dead_letters.silent, home.dead_letters.failing = False, "_MSG_TIMED_OUT"
    home.run(60)
    assert len(home.dead_letters.produced) == 1
    assert len(home.letters) == 0
def test_too_large_letter_of_an_ended_tenure_pauses_nothing():
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.dead_letters.silent = True
    home.run(1)
    home.source.lose(0)
    home.run(3)
    home.dead_letters.silent, home.dead_letters.bytes_max = False, 20
    home.source.lose(1)
    home.run(3)
    assert home.letters.too_large == frozenset()
def test_report_of_old_tenure():
    home = house(partitions=1)
    home.publish(0, events=50)
    home.run(1.3)
    home.run(1)
    home.publish(0, events=50)
    home.make_anew(0)
    home.publish(0, events=20)
    home.settle_all()
    home.make_anew(0)
