"""A user's points: files of two columns, what is wrong with them, and the units of the fit."""

import numpy as np
import pytest

from keras_dl.errors import UserError
from keras_dl.laboratory import points, polynomials

GOOD = "year,price\n2001,10\n2002,12.5\n\n2003,1.1e1\n2004,-3\n"


def written(folder, text):
    file = folder / "points.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize(
    "text",
    [GOOD, GOOD.replace(",", ";"), GOOD.replace(",", "\t"), GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD,
     GOOD.replace("2001,10", '"2001", "10"')],
    ids=["comma", "semicolon", "tab", "windows", "mark", "quotes"],
)  # fmt: skip
def test_two_columns_are_read_with_their_names(tmp_path, text):
    data = points.read(written(tmp_path, text), "--data")
    assert data.axes == ("year", "price") and len(data) == 4 and data.name == "points" and data.distinct == 4
    np.testing.assert_allclose(data.in_x_units(data.x), [2001, 2002, 2003, 2004])
    np.testing.assert_allclose(data.in_y_units(data.y), [10, 12.5, 11, -3])
    assert data.x.min() == -1 and data.x.max() == 1
    assert data.y.mean() == pytest.approx(0, abs=1e-12) and data.y.std() == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2\n2,x\n3,4\n5\n6,7,8\n9,nan\n", "line 2 is '2,x', line 4 is '5', line 5 is '6,7,8' and 1 more"),
        ("x,y\n1,2\nx,y\n3,4\n", "line 3 is 'x,y'"),
        ("x,1\n1,2\n", "line 1 is 'x,1'"),
        ("1;2\n3,4\n", "two numbers with a semicolon in between in each line; line 2 is '3,4'"),
        ("1,2\n3,inf\n4,1e200\n", "line 2 is '3,inf', line 3 is '4,1e200'"),
        ("1,2\n1_0,2\n", "line 2 is '1_0,2'"),
        ('1,2\n"3,4\n', "line 2 is '\"3,4'"),
        ("x,y\n1,2\n2,3\n", "must have 4 to 10,000 points, one per line; got 2"),
        ("", "got 0"),
        ("1,2\n" * 10_001, "got 10,001"),
        ("1,2\n1,3\n2,4\n2,5\n", "at least 4 different x; got 2 values"),
        (b"1,2\n\xff\xfe\n", "UTF-8"),
        (GOOD.encode("utf-16"), "UTF-16"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, said):
    file = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        points.read(file, "--data")
    assert said in str(caught.value) and str(caught.value).startswith(f"--data: {file}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_a_folder_is_one_line(tmp_path):
    for path, said in ((tmp_path / "none.csv", "is not there"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=said):
            points.read(path, "--data")


def test_coefficients_are_in_the_units_of_the_file(tmp_path):
    x = np.array([1900, 1925, 1950, 1960, 2000.0])
    y = 3000 - 2 * x + 0.25 * (x - 1950) ** 2
    lines = [f"{a},{b}\n" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    data = points.read(written(tmp_path, "".join(lines)), "--data")
    for order in (1, 2, 3):
        weights = polynomials.least_squares(polynomials.monomials(data.x, order), data.y)
        coefficients = data.coefficients(weights)
        expected = np.polynomial.Polynomial.fit(x, y, order).convert().coef
        np.testing.assert_allclose(coefficients[: len(expected)], expected, rtol=1e-6, atol=1e-6)
        assert len(coefficients) == order + 1
    assert data.coefficients(np.array([1.0, 0.0])) == pytest.approx([data.in_y_units(1.0), 0])


def test_values_that_do_not_vary_can_be_fitted(tmp_path):
    data = points.read(written(tmp_path, "1,5\n2,5\n3,5\n4,5\n"), "--data")
    assert list(data.y) == [0] * 4 and data.in_y_units(0.0) == 5
