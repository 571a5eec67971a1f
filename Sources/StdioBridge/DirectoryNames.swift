import CLinux
import Glibc

/// The names in a directory, sorted; nil with `errno` set when it cannot be read.
public func directoryNames(_ path: String) -> [String]? {
    guard let stream = opendir(path) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let name = clinux_next_name(stream) { names.append(String(cString: name)) }
    return names.sorted()
}
