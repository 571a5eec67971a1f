import Glibc
import JSONText

/// A configuration file of somebody else's program, replaced as a whole or not at all.
struct ConfigFile {
    let path: String
    let before: [UInt8]
    let exists: Bool

    /// - Parameter path: absolute; a link is followed.
    init(_ path: String) throws {
        var resolved = path
        if let target = realpath(path, nil) {
            resolved = String(cString: target)
            free(target)
        } else {
            var info = stat()
            // Replaced, it would be a file, and what it stands for would never see the change.
            if lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFLNK {
                throw Failure("\(path) is a link to nothing", hint: "make the file that it stands for, or remove the link")
            }
        }
        self.path = resolved
        if let bytes = readFile(resolved) {
            before = bytes
            exists = true
        } else if errno == ENOENT {
            before = []
            exists = false
        } else {
            throw Failure("\(resolved) cannot be read: \(String(cString: strerror(errno)))", hint: "make it a file that you can read")
        }
    }

    /// - Parameter mayHaveComments: its own program reads comments and trailing commas.
    func setting(_ name: String, to value: JSONValue, in section: String, mayHaveComments: Bool = false) throws -> [UInt8] {
        do throws(ConfigEdit.Refusal) {
            return try ConfigEdit.setting(name, to: value, in: section, of: before, mayHaveComments: mayHaveComments)
        } catch {
            switch error {
            case .broken(let line, let column, let reason):
                let more = mayHaveComments ? "" : "; comments and trailing commas are not JSON either"
                throw Failure("\(path) is no JSON: line \(line), column \(column): \(reason)", hint: "mend that line" + more)
            case .notAnObject(let what):
                throw Failure("\(what) in \(path) is no JSON object", hint: "mend it, or move it away")
            }
        }
    }

    /// The lines that go and come, without their ends.
    static func difference(_ before: [UInt8], _ after: [UInt8]) -> [String] {
        // Of bytes: CR LF is one character, and no line end to whoever splits at a newline.
        func lines(_ bytes: [UInt8]) -> [String] {
            let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
            return (lines.last?.isEmpty == true ? lines.dropLast() : lines[...]).map { line in
                String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
            }
        }
        let (old, new) = (lines(before), lines(after))
        let changes = new.difference(from: old)
        var gone: [Int: String] = [:]
        var come: [Int: String] = [:]
        for change in changes {
            switch change {
            case .remove(let offset, let line, _): gone[offset] = line
            case .insert(let offset, let line, _): come[offset] = line
            }
        }
        var shown: [String] = []
        var (left, right) = (0, 0)
        while left < old.count || right < new.count {
            if let line = gone[left] {
                shown.append("- " + line)
                left += 1
            } else if let line = come[right] {
                shown.append("+ " + line)
                right += 1
            } else {
                left += 1
                right += 1
            }
        }
        return shown
    }

    /// Writes `after`, with the file as it was kept beside it.
    ///
    /// - Returns: The backup's path; nil for a file that was not there.
    func write(_ after: [UInt8]) throws -> String? {
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        if mkdir("/" + folder, 0o777) != 0, errno != EEXIST { throw cannot("/" + folder, "made") }
        // Another command of ours waits; whoever else writes is seen until just before the new file takes the old one's place.
        let lock = open("/" + folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw cannot("/" + folder, "read") }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 { guard errno == EINTR else { throw cannot("/" + folder, "locked") } }
        try checkUnchanged()
        let backup = exists ? try put(before, to: path + ".before-berth") : nil
        do {
            try replace(with: after)
        } catch {
            if let backup { unlink(backup) }
            throw error
        }
        return backup
    }

    private func replace(with after: [UInt8]) throws {
        let fresh = try put(after, to: path + ".berth-new")
        do {
            try checkUnchanged()
            guard rename(fresh, path) == 0 else { throw cannot(path, "written") }
        } catch {
            unlink(fresh)
            throw error
        }
    }

    private func checkUnchanged() throws {
        guard (readFile(path) ?? []) == before else { throw Failure("\(path) has just changed", hint: "run the command again") }
    }

    /// - Parameter wanted: the first free name of it and `wanted.2`, `wanted.3`, … is taken.
    /// - Returns: the file's path.
    private func put(_ bytes: [UInt8], to wanted: String) throws -> String {
        let source = exists ? open(path, O_RDONLY | O_CLOEXEC) : -1
        defer { if source >= 0 { close(source) } }
        var info = stat()
        let isKnown = source >= 0 && fstat(source, &info) == 0
        var (target, number) = (wanted, 1)
        var descriptor: Int32
        repeat {
            descriptor = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, isKnown ? info.st_mode & 0o777 : 0o666)
            guard descriptor < 0, errno == EEXIST else { break }
            number += 1
            target = "\(wanted).\(number)"
        } while number <= 10_000
        guard descriptor >= 0 else { throw cannot(target, "made") }
        defer { close(descriptor) }
        if isKnown {
            _ = fchown(descriptor, info.st_uid, info.st_gid)
            _ = fchmod(descriptor, info.st_mode & 0o777)
        }
        let problem = writeAll(bytes, to: descriptor)
        guard problem == 0 else {
            unlink(target)
            throw cannot(target, "written", problem)
        }
        fsync(descriptor)
        return target
    }

    private func cannot(_ path: String, _ what: String, _ problem: Int32 = errno) -> Failure {
        Failure("\(path) cannot be \(what): \(String(cString: strerror(problem)))", hint: "check who owns the folder, and its disk")
    }
}
