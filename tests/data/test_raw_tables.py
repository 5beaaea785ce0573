"""Complaints about csv files name file, row and column."""

import numpy as np
import pytest

from seqdiff.data import tables


def write(tmp_path, text):
  path = tmp_path / 'table.csv'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return path


def test_columns_are_found_by_name_and_others_passed_by(tmp_path):
  table = tables.read(write(tmp_path, (
      '"b",c,a\n1, x ,NA\n\n"2","y,z",\n')), ('a', 'b', 'c'))
  assert table.rows == [2, 4] and len(table) == 2
  assert table.cells['c'] == ['x', 'y,z']
  np.testing.assert_array_equal(table.numbers('b'), [1, 2])
  np.testing.assert_array_equal(
      table.numbers('a', missing=True), [np.nan, np.nan])


def test_the_delimiter_is_the_one_of_the_first_row(tmp_path):
  path = write(tmp_path, '\ufeffa;b\r\n1,5;2\r\n')
  assert tables.read(path, 'ab', delimiters=',;\t').cells['a'] == ['1,5']


@pytest.mark.parametrize('text, message', [
    ('', 'table.csv is empty; expected .* columns a, b'),
    ('a,b\n', 'no rows below row 1; expected measurements'),
    ('a,c\n1,2\n', 'row 1, column b: there 0 times among a, c; expected once'),
    ('a,b,b\n1,2,3\n', 'row 1, column b: there 2 times'),
    ('a,b\n1,2\n3\n', 'row 3, column b: the row has 1 cells; expected 2'),
    ('a,b\n1,2,3\n', 'row 2, column b: the row has 3 cells; expected 2'),
    (b'a,b\n\xff,1\n', r"cannot be read \('utf-8' codec.*in UTF-8"),
    ('a,b\n"1,2\n', r'cannot be read \(unexpected end of data'),
])
def test_files_of_another_form_are_refused(tmp_path, text, message):
  with pytest.raises(ValueError, match=message):
    tables.read(write(tmp_path, text), ('a', 'b'))


def test_a_file_that_is_not_there_is_an_error(tmp_path):
  with pytest.raises(ValueError, match=r'none.csv cannot be read \(.*No such'):
    tables.read(tmp_path / 'none.csv', ('a',))


@pytest.mark.parametrize('cell, options, message', [
    ('x', {}, r"row 3, column a: 'x'; expected a number\. Correct it"),
    ('', {}, 'row 3, column a: no value; expected a number'),
    ('inf', {}, r'row 3, column a: inf; expected a finite number\.'),
    ('-inf', dict(missing=True), 'row 3, column a: -inf; expected a finite'),
    ('1e999', {}, 'row 3, column a: 1e999; expected a finite'),
    ('101', dict(high=100, low=0, unit='hPa'),
     'column a: 101; expected a finite number from 0 to 100 hPa.*another unit'),
    ('-1', dict(low=0), 'column a: -1; expected a finite number from 0 to inf'),
])
def test_cells_that_are_not_what_they_should_be(
    tmp_path, cell, options, message):
  table = tables.read(write(tmp_path, f'a,b\n7,1\n{cell},2\n9,3\n'), ('a',))
  with pytest.raises(ValueError, match=f'table.csv, .*{message}'):
    table.numbers('a', **options)


def test_bounds_are_allowed_themselves(tmp_path):
  table = tables.read(write(tmp_path, 'a\n0\n100\n'), ('a',))
  np.testing.assert_array_equal(table.numbers('a', low=0, high=100), [0, 100])


def hours(*numbers):
  return np.datetime64('2020-01-01T00', 's') + (
      np.array(numbers) * np.timedelta64(1, 'h'))


@pytest.mark.parametrize('times, message', [
    (hours(1, 2, 3), 'row 2, column t: 2020-01-01T01:00:00; expected 2020-01-'
                     '01T00:00:00, where the published file begins'),
    (hours(0, 1, 1), 'row 4, column t: 2020-01-01T01:00:00 is there twice'),
    (hours(0, 2, 1), 'row 4, column t: .*T01:00:00 comes after .*T02:00:00'),
    (hours(0, 1, 3), 'row 4, .*T03:00:00 follows .*T01.*expected the next hou'),
    (hours(0, 1, 2), 'row 4, .*ends at .*T02:00:00 with 3 rows; expected 4'),
    (hours(0, 1, 2, 3, 4), 'row 6, .*T04:00:00 with 5 rows; expected 4 rows'),
])
def test_hours_that_are_missing_double_or_not_in_order(
    tmp_path, times, message):
  table = tables.read(write(tmp_path, 't\n' + '0\n' * len(times)), ('t',))
  with pytest.raises(ValueError, match=message):
    tables.check_hours(
        table, 't', times, first='2020-01-01T00', last='2020-01-01T03')


def test_all_hours_in_order_are_fine(tmp_path):
  table = tables.read(write(tmp_path, 't\n' + '0\n' * 4), ('t',))
  tables.check_hours(table, 't', hours(0, 1, 2, 3), first='2020-01-01T00',
                     last='2020-01-01T03')
