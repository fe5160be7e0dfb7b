"""The bundles that ship: one folder each. See LICENSE.md."""
