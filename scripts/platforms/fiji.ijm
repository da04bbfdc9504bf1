// What ImageJ makes of what `export --to fiji` wrote, a line for each, into a text file.
// The argument: the exported image, the zip of ROIs, the mask, the text file, the table of results, between bars.
words = split(getArgument(), "|");
report = File.open(words[3]);
print(report, "version\t" + getVersion());

open(words[0]);
getPixelSize(unit, width, height, depth);
getDimensions(columns, rows, channels, slices, frames);
print(report, "image\t" + unit + "\t" + width + "\t" + height + "\t" + depth + "\t" + columns + "\t" + rows + "\t" + slices);
print(report, "overlay\t" + Overlay.size);
run("To ROI Manager");
print(report, "manager\t" + roiManager("count"));
roiManager("reset");
roiManager("Open", words[1]);

// on the mask with the same pixel size: inside of a right outline every pixel is vessel
open(words[2]);
setVoxelSize(width, height, depth, unit);
for (i = 0; i < roiManager("count"); i++) {
    roiManager("select", i);
    slice = getSliceNumber();
    setResult("Label", i, Roi.getName);
    setResult("Area", i, getValue("Area"));
    setResult("Length", i, getValue("Length"));
    if (selectionType() == 6) {
        print(report, "line\t" + Roi.getName + "\t" + slice + "\t" + getValue("Length"));
    } else {
        print(report, "area\t" + Roi.getName + "\t" + slice + "\t" + getValue("Area") + "\t" + getValue("Min") + "\t" + getValue("Max"));
    }
}
updateResults();
saveAs("Results", words[4]);
File.close(report);
run("Quit");
