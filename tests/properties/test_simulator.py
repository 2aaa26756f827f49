from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.simulator.head import draw_head
from edge_app.simulator.lesions import LesionKind, draw_lesion
from edge_app.simulator.scu import Peer
from edge_app.simulator.texture import ramp


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_every_head_is_that_of_an_adult(seed: int) -> None:
    head = draw_head(np.random.default_rng(seed))
    assert 18 <= head.age_years <= 110
    width, length = 2 * head.half_width_mm * head.scale[0], 2 * head.half_length_mm * head.scale[1]
    assert 120 < width < 185
    assert 150 < length < 230
    assert head.grey_hu - head.white_hu > 6
    assert np.allclose(head.pose.rotation @ head.pose.rotation.T, np.eye(3), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(list(LesionKind)))
def test_every_lesion_has_the_density_of_its_kind(seed: int, kind: LesionKind) -> None:
    lesion = draw_lesion(np.random.default_rng(seed), kind)
    assert lesion.side in (-1, 1)
    if kind is LesionKind.ISCHAEMIA:
        assert 0 < lesion.white_drop_hu < lesion.grey_drop_hu < 13
        assert lesion.hu == 0
    else:
        assert 50 <= lesion.hu <= 90
        assert lesion.grey_drop_hu == 0


@given(st.floats(-1e3, 1e3, width=32), st.floats(0.1, 20))
def test_an_edge_is_a_fraction_and_half_at_the_border(distance_mm: float, width_mm: float) -> None:
    value = float(ramp(np.array([distance_mm], dtype=np.float32), width_mm)[0])
    assert 0 <= value <= 1
    assert float(ramp(np.zeros(1, dtype=np.float32), width_mm)[0]) == 0.5


@given(st.text("ABCXYZ_019 ", min_size=1, max_size=16), st.integers(1, 65535))
def test_a_peer_written_down_is_read_back(aet: str, port: int) -> None:
    peer = Peer(aet, "10.0.0.5", port)
    assert Peer.parse(str(peer)) == peer
