import Foundation
import JSONReference
import JSONText
import Testing

@Suite struct PropertyTests {
    /// What BERTH_SEED says, or anything: a failure names its seed, and `SEED=N make test` repeats it.
    static let seed = ProcessInfo.processInfo.environment["BERTH_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0...1 << 40)

    /// Our readers and an independent reading of the grammar agree on every text, whole and damaged: 12,000 that are always the same, and
    /// 12,000 that are others in each run.
    @Test(arguments: [0, seed], 0..<40) func agreesWithReference(base: UInt64, block: UInt64) {
        for offset in 0..<75 {
            let seed = base + block * 1000 + UInt64(offset)
            var random = Seeded(seed)
            let value = Array(Generator.value(&random, depth: 4).utf8)
            let message = Array(Generator.message(&random).utf8)
            for bytes in [value, Generator.mutated(value, &random), message, Generator.mutated(message, &random)] {
                if let difference = Agreement.difference(bytes) {
                    Issue.record("seed \(base): \(difference): \(String(decoding: bytes, as: UTF8.self))")
                }
            }
        }
    }

    /// What we accept Foundation accepts, and reads the same. (It reads more than JSON, so not the other way round.)
    @Test(arguments: 0..<20) func foundationReadsTheSame(block: Int) throws {
        for offset in 0..<100 {
            var random = Seeded(UInt64(block * 1000 + offset + 77_777))
            let text = Array(Generator.value(&random, depth: 4).utf8)
            for bytes in [text, Generator.mutated(text, &random)] {
                guard let value = try? JSONValue(parsing: bytes), value.hasOnlyModestNumbers else { continue }
                let other = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
                #expect(value.equals(other), "\(String(decoding: bytes, as: UTF8.self))")
            }
        }
    }

    /// Editing an object by splicing is the same as editing its value.
    @Test(arguments: 0..<20) func splicingEqualsEditing(block: Int) throws {
        for offset in 0..<60 {
            var random = Seeded(UInt64(block * 1000 + offset + 900_000))
            let text = Array(Generator.object(&random, depth: 2).utf8)
            guard case .object(let object)? = try? JSONValue(parsing: text) else { continue }
            let removed = Set(object.keys.filter { _ in Bool.random(using: &random) })
            let added: [(key: String, value: [UInt8])] =
                Bool.random(using: &random) ? [("new \"key\"", Array("[1]".utf8)), ("z9", Array("{}".utf8))] : []
            var splice = Splice()
            let whole = JSONSpan(start: 0, end: text.count)
            try splice.editObject(whole, in: text.span.bytes, removing: { removed.contains($0.keyString(in: text.span.bytes) ?? "") }, adding: added)
            let edited = splice.apply(to: text.span.bytes)
            var expected = added.map { ($0.key, (try? JSONValue(parsing: $0.value)) ?? .null) }
            expected += object.members.filter { !removed.contains($0.key) }.map { ($0.key, $0.value) }
            #expect(try JSONValue(parsing: edited) == .object(JSONObject(expected)), "\(String(decoding: text, as: UTF8.self))")
            #expect(edited.count == splice.outcomeCount(of: text.count))
        }
    }

    @Test(arguments: 0..<10) func serialisedValuesParseBack(block: Int) {
        for offset in 0..<100 {
            var random = Seeded(UInt64(block * 1000 + offset + 3))
            guard let value = try? JSONValue(parsing: Generator.value(&random, depth: 4)) else { continue }
            #expect((try? JSONValue(parsing: value.serialized())) == value)
        }
    }
}

extension JSONValue {
    /// Numbers that a double and Foundation's range both hold.
    var hasOnlyModestNumbers: Bool {
        switch self {
        case .null, .bool, .string: true
        case .number(let text): Double(text).map { abs($0) < 1e300 && ($0 == 0 || abs($0) > 1e-300) } ?? false
        case .array(let elements): elements.allSatisfy(\.hasOnlyModestNumbers)
        case .object(let object): object.members.allSatisfy(\.value.hasOnlyModestNumbers)
        }
    }

    func equals(_ other: Any) -> Bool {
        switch self {
        case .null: return other is NSNull
        case .bool(let value): return (other as? NSNumber)?.boolValue == value
        case .number(let text):
            guard let number = other as? NSNumber, let value = Double(text) else { return false }
            return abs(number.doubleValue - value) <= abs(value) * 1e-12
        case .string(let value): return other as? String == value
        case .array(let elements):
            guard let array = other as? [Any], array.count == elements.count else { return false }
            return zip(elements, array).allSatisfy { $0.equals($1) }
        case .object(let object):
            guard let dictionary = other as? [String: Any], dictionary.count == object.count else { return false }
            return object.members.allSatisfy { member in dictionary[member.key].map { member.value.equals($0) } ?? false }
        }
    }
}
