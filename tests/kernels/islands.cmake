# Instruction-set object files must define nothing that another file could be linked to: a common inline
# function compiled with -mavx2 and not inlined would be a weak symbol, the linker may keep that copy for all
# callers, and the program dies on a machine without AVX2. So every symbol they export must name its
# instruction set: an Isa argument or an xsimd architecture.
#
#   cmake -DNM=nm -DOBJECTS=a.o,b.o -DISA_VALUE=1 -P islands.cmake
# xsimd's architectures inherit, so parts of avx2 carry the name of avx; and instruction sets share them (AVX-VNNI has
# the floats of AVX2).
set(ARCH "xsimd::(avx|avx2|avx512f|neon|neon64)[,>]")
string(REPLACE "," ";" OBJECTS "${OBJECTS}")
set(symbols 0)
foreach(object ${OBJECTS})
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE listing RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${NM} could not read ${object}")
  endif()
  string(REPLACE ";" "," listing "${listing}")
  string(REGEX MATCHALL "[^\n]+" lines "${listing}")
  foreach(line ${lines})
    if(line MATCHES "^[0-9a-f]+ [WVuT] (.*)$")
      math(EXPR symbols "${symbols} + 1")
      set(symbol "${CMAKE_MATCH_1}")
      # Names of some lambdas are beyond the demangler. DW.ref. is a pointer for stack unwinding, not code.
      if(NOT symbol MATCHES "Isa\\)${ISA_VALUE}|3IsaE${ISA_VALUE}E|${ARCH}|^DW\\.ref\\.")
        message(SEND_ERROR "${object} offers this to every other file: ${symbol}")
      endif()
    endif()
  endforeach()
endforeach()
if(symbols EQUAL 0)
  message(FATAL_ERROR "no symbols found: the check looked at nothing")
endif()
message(STATUS "${symbols} symbols, all of them of instruction set ${ISA_VALUE}")
