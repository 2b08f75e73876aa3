// Package plot draws the figures of a report: line charts, scatter plots with intervals, stacked
// histograms and shares of a whole. A [Figure] is data; [Figure.SVG] and [Figure.PNG] draw the same
// picture through two back-ends and give the same bytes for the same figure.
//
// The house rules of every picture are built in: axes begin where they say, gridlines stay behind
// the data, series are told apart by marker and dash as well as by colour, and lines are labelled
// where they end instead of in a legend wherever there is room. The colours are dark enough to be
// read as text on white and differ in lightness, so that print and colour vision do not matter.
//
// What lives here: geometry. What does not: what a run means (package analysis, the only importer).
package plot
