"""No file of code is longer than 500 lines."""
import house

LONGEST = 500

CODE = (".c", ".h", ".lua", ".js", ".py", ".html", ".sh", ".cmake", "CMakeLists.txt", "run")


def main():
    top, _ = house.arguments()
    paths = house.files(top, *CODE)
    lengths = [(path, len(house.read(top, path).splitlines())) for path in paths]
    house.finish([(path, LONGEST + 1, f"{length} lines; split it where its subject changes, {LONGEST} are the most")
                  for path, length in lengths if length > LONGEST], paths)


main()
